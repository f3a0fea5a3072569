package storetest_test

import (
	"os"
	"testing"

	"github.com/eventstore-go/eventstore/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
