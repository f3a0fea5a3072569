// Package transfer moves stores: out into an archive, and in from one.
package transfer
