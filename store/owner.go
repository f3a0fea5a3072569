package store

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// newOwner returns the owner of a Store's leases: the name that people know the process by, and something that no other Store
// has, also one with the same name.
func newOwner(name string) string {
	if name == "" {
		name = defaultName()
	}
	var unique [8]byte
	_, _ = rand.Read(unique[:]) // never fails
	return name + "/" + hex.EncodeToString(unique[:])
}

// defaultName is the name of the host and the id of the process.
func defaultName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown-host"
	}
	pid := fmt.Sprintf(":%d", os.Getpid())
	host = strings.ToValidUTF8(strings.ReplaceAll(host, "\x00", ""), "")
	if most := MaxName - len(pid); len(host) > most {
		host = strings.ToValidUTF8(host[:most], "")
	}
	return host + pid
}
