// Package hatest shows what becomes of a store when its database fails over, is upgraded, or is restored.
//
// The tests take minutes and need more software than others, so that only make test/ha runs them; go test ./... skips them. Three
// PostgreSQL servers on this machine are managed by Patroni, which keeps its state in etcd. Two processes append, subscribe and
// project, one through pgx and one through lib/pq, while the leader is changed, killed, or lost together with what its standbys had
// not received. The tests judge by what the processes noted and by what the store holds at the end.
package hatest
