package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
)

// How often a statement is sent again, at most, because connections were dead or lost.
const (
	mostDead = 100 // connections that were dead before the statement: each is gone from the pool then
	mostLost = 10  // connections that were lost with the answer: their server may be what fails
)

// SQLSTATEs of a connection that has ended.
const (
	connectionException = "08000"
	connectionLost      = "08006"
	adminShutdown       = "57P01" // the server, or another session, has ended this one
	crashShutdown       = "57P02"
	idleSession         = "57P05" // by idle_session_timeout
)

// repeatable are the statements that are sent again if the connection is lost with their answer: a second run does no more than
// the first. All others, such as appends, are sent again only if the driver says that the server has not received them.
var repeatable = map[string]bool{
	"begin": true, "tick": true,
	"arrivals": true, "correlations_indexed": true, "types_indexed": true, "count_parked": true, "count_streams": true, "data_type": true, "bytes": true, "time": true,
	"find_correlation": true, "find_typed": true, "find_stream": true, "find_subscription": true, "free_leases": true, "judge_append": true,
	"list_streams_by_id": true, "list_streams_by_id_desc": true, "list_streams_by_key": true, "list_streams_by_key_desc": true,
	"list_streams_by_name": true, "list_streams_by_name_desc": true, "list_subscriptions": true, "list_types": true, "migrate_present": true,
	"migrate_renamed": true, "migrate_version": true, "parked_keys": true, "places": true, "projection_members": true,
	"read_places": true, "read_event": true, "read_events_filtered": true, "read_events_range": true, "read_head": true,
	"read_large": true, "read_linked_backward": true, "read_linked_forward": true, "read_log_backward": true, "read_log_forward": true,
	"read_names": true, "read_parked": true, "read_parked_ready": true, "read_projection": true, "read_projections": true,
	"read_snapshot": true, "read_stream_backward": true, "read_stream_filtered": true,
	"read_stream_filtered_backward": true, "read_stream_forward": true,
	"server_version": true, "settings": true, "shadowed": true, "strange_table": true, "stream_of": true, "stream_versions": true, "tick_pending": true,
}

// again reports whether the statement is to be sent again after an error of its attempt-th time, outside a transaction.
//
// When the context of a call ends, pgx closes its connection. If the pool is full, database/sql hands that dead connection to a
// caller that waits for one. It tries three times by itself. Then the caller, whose own context is alive, would get
// driver.ErrBadConn.
func (b *Backend) again(ctx context.Context, statement string, attempt int, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	switch {
	case notSent(err) && attempt < mostDead:
	case repeatable[statement] && lost(err) && attempt < mostLost:
	default:
		return false
	}
	b.opts.Logger.DebugContext(ctx, "connection lost, statement sent again", "statement", statement, "attempt", attempt, "err", err)
	return true
}

// notSent reports whether the driver says that the server has not received the statement. lib/pq says so too if it can't know. Then
// database/sql has sent the statement again already, so that all statements outside transactions bear that: see once.
func notSent(err error) bool {
	var pgx interface{ SafeToRetry() bool }
	return errors.Is(err, driver.ErrBadConn) || errors.As(err, &pgx) && pgx.SafeToRetry()
}

// lost reports whether a connection that was there has ended.
func lost(err error) bool {
	switch sqlerr.State(err) {
	case "":
	case connectionLost, connectionException, adminShutdown, crashShutdown, idleSession:
		return true
	default:
		return false
	}
	var network *net.OpError
	if errors.As(err, &network) {
		return network.Op != "dial" && !network.Timeout()
	}
	return notSent(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
