package health

import (
	"context"
	"errors"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

// examine returns the last examination, or a new one if that is older than KeepFor. One at a time is made, by the first request that needs
// it; the others wait for it, within their contexts and Timeout.
func (h *Health) examine(ctx context.Context) *examined {
	timeout := time.NewTimer(h.o.Timeout)
	defer timeout.Stop()
	for {
		last, wait := h.begin()
		if last != nil {
			return last
		}
		if wait == nil {
			return h.run(ctx)
		}
		select {
		case <-wait:
		case <-timeout.C:
			return &examined{at: time.Now(), check: context.DeadlineExceeded}
		case <-ctx.Done():
			return &examined{at: time.Now(), check: ctx.Err()}
		}
	}
}

// begin returns the last examination if that is new enough; or what to wait for if one is under way; or neither, after which the caller
// must call run.
func (h *Health) begin() (last *examined, wait chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last != nil && time.Since(h.last.at) < h.o.KeepFor {
		return h.last, nil
	}
	if h.running != nil {
		return nil, h.running
	}
	h.running = make(chan struct{})
	return nil, nil
}

// run examines the store. A request whose client goes away ends it for nobody else: only Timeout does.
func (h *Health) run(ctx context.Context) *examined {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.o.Timeout)
	defer cancel()
	x := &examined{check: errors.New("health: the examination has panicked")}
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if before := h.last; x.check != nil && (before == nil || before.check == nil || before.check.Error() != x.check.Error()) {
			h.o.Logger.WarnContext(ctx, "eventstore: the store can't be examined", "err", x.check)
		}
		x.at = time.Now()
		h.last = x
		close(h.running)
		h.running = nil
	}()
	if x.check = h.es.Check(ctx); x.check != nil {
		return x
	}
	if x.subscriptions, x.check = h.es.Subscriptions(ctx); x.check != nil && !none(x.check) {
		return x
	}
	if x.projections, x.check = h.es.Projections(ctx); x.check != nil && !none(x.check) {
		return x
	}
	x.check = nil
	return x
}

// none reports whether the backend keeps no subscriptions, or no projections.
func none(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, store.ErrNoTransactions)
}
