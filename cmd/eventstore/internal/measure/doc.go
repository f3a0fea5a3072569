// Package measure finds out how fast a store is on its database: how many events it appends and reads in a second, and
// how long appends and deliveries take. A [Report] is written as JSON, or as a page of HTML that needs no network.
package measure
