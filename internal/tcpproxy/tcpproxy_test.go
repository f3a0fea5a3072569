package tcpproxy

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that sends lines back.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, listener.Close()) })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close() //nolint:errcheck // the test's
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return listener.Addr().String()
}

func TestLink(t *testing.T) {
	p := Start(t, echo(t))
	dial := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", p.Addr())
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c, bufio.NewReader(c)
	}
	say := func(c net.Conn, r *bufio.Reader, line string) error {
		if _, err := io.WriteString(c, line+"\n"); err != nil {
			return err
		}
		got, err := r.ReadString('\n')
		if err == nil {
			require.Equal(t, line+"\n", got)
		}
		return err
	}
	c, r := dial()
	require.NoError(t, say(c, r, "hello"))

	p.Stall()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	var timeout net.Error
	require.ErrorAs(t, say(c, r, "late"), &timeout)
	require.True(t, timeout.Timeout())
	p.Resume()
	require.NoError(t, c.SetReadDeadline(time.Time{}))
	got, err := r.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "late\n", got, "nothing was lost")

	p.Delay(30 * time.Millisecond)
	start := time.Now()
	require.NoError(t, say(c, r, "slow"))
	require.GreaterOrEqual(t, time.Since(start), 60*time.Millisecond, "there and back")
	p.Delay(0)

	p.Cut()
	require.Error(t, say(c, r, "gone"))
	c, r = dial()
	require.Error(t, say(c, r, "refused"))
	p.Restore()
	c, r = dial()
	require.NoError(t, say(c, r, "back"))
}

func TestLoseAnswer(t *testing.T) {
	target, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = target.Close() })
	heard := make(chan string, 10)
	go func() {
		for {
			c, err := target.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close() //nolint:errcheck // the proxy closes it
				for lines := bufio.NewScanner(c); lines.Scan(); {
					heard <- lines.Text()
					if _, err := io.WriteString(c, "re: "+lines.Text()+"\n"); err != nil {
						return
					}
				}
			}()
		}
	}()
	p := Start(t, target.Addr().String())
	c, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	r := bufio.NewReader(c)
	ask := func(line string) (string, error) {
		if _, err := io.WriteString(c, line+"\n"); err != nil {
			return "", err
		}
		return r.ReadString('\n')
	}

	lost := p.LoseAnswer("re: two")
	got, err := ask("one")
	require.NoError(t, err)
	require.Equal(t, "re: one\n", got, "other answers pass")
	_, err = ask("two")
	require.Error(t, err, "the connection is closed")
	<-lost
	require.Equal(t, "one", <-heard)
	require.Equal(t, "two", <-heard, "the target has heard what it was asked")

	c, err = net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	r = bufio.NewReader(c)
	got, err = ask("two")
	require.NoError(t, err, "one answer was lost, not more")
	require.Equal(t, "re: two\n", got)
}
