package store

import "errors"

// waitsAt notes that the handler has failed with err. While that is [ErrUnknownVersion], the subscription is Waiting; any other error,
// or nil, ends that.
func (r *Subscriber) waitsAt(err error) {
	if !errors.Is(err, ErrUnknownVersion) {
		err = nil
	}
	r.subscription.mu.Lock()
	defer r.subscription.mu.Unlock()
	r.subscription.life.Wait(r.seat, err)
}
