// Package bench compares the event store with others that a Go program might use on PostgreSQL: what each can do in a
// second, and whether what it says is right. It is a module of its own, so that the library's go.mod knows none of them.
//
//	go test -count=1 -timeout 3h -v -run Compare . -rounds 5 -time 1s -out ../docs
//
// TestCompare starts a PostgreSQL, gives every store a database of its own for each measurement, and writes a page with
// tables and charts. The stores take turns within a round, and begin with another one in each.
package bench
