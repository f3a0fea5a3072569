//go:build race

package conformance

// racing says that the race detector is on, which makes the cases seven times as slow.
const racing = true
