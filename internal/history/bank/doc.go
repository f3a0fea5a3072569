// Package bank tests projections with a bank: processes transfer money between accounts in their own transactions, and a
// partitioned projection in other processes keeps the balances in a table, while all of them are killed, paused, robbed
// of their leases and cut off, and the server crashes. At the end every balance must be what the events say, to the cent,
// and every event applied once, in order. Broken variants must fail.
package bank
