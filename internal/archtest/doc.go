// Package archtest holds the module's arrows: which package may import which. The rules are in rules.go; the tests
// apply them to the module as it is, and to bad graphs, which each rule must refuse.
package archtest
