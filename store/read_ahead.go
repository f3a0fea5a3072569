package store

import "context"

// ahead reads pages of a stream while the caller works on the ones before. It begins when a page was full, so that there
// are likely to be more, and goes by the numbers: those of a stream have few gaps. Behind a gap it begins anew.
//
// That is no less than reading one page after another: a page is returned only if the one before it was full and ended
// right before it, so that nothing can appear between the two.
type ahead struct {
	storage Storage
	overlap int      // by how many events a page begins before the end of the one before it
	pending []*fetch // in the order of the pages
	full    int      // how many full pages were read in a row
}

// fetch is a page on its way.
type fetch struct {
	request ReadRequest
	done    chan struct{} // closed when what follows is set
	page    StreamPart
	err     error
}

// most is how many pages may be on their way.
func (a *ahead) most() int {
	if p, ok := a.storage.(ParallelReader); ok {
		return min(a.full, p.ParallelReads())
	}
	return 0
}

// fetch returns the page that r wants, and has those behind it fetched if it is full; left is how many events are wanted
// of them.
func (a *ahead) fetch(ctx context.Context, r ReadRequest, left int, read func(context.Context, ReadRequest) (StreamPart, error)) (StreamPart, error) {
	var page StreamPart
	var err error
	if a.expects(r) {
		f := a.pending[0]
		a.pending = a.pending[1:]
		<-f.done
		page, err = f.page, f.err
	} else {
		a.full = 0
		a.wait()
		page, err = read(ctx, r)
	}
	if n := len(page.Events); err != nil || n < r.Limit || page.Events[n-1].Number != r.last() {
		a.full = 0
		return page, err
	}
	a.full++
	next := r
	if page.StreamID != 0 { // the next pages must belong to the same stream
		next.StreamID = page.StreamID
	}
	for _, f := range a.pending {
		next = f.request
		left -= f.request.Limit
	}
	for most := a.most(); len(a.pending) < most; {
		from := next.behind()
		if from < 1 || left <= 0 {
			break
		}
		size := r.Limit
		if r.From == 1 {
			size += a.overlap // the first page has none before it
		}
		next.From, next.Limit, next.Overlap = from-int64(a.overlap), min(size, left), a.overlap > 0
		left -= next.Limit
		f := &fetch{request: next, done: make(chan struct{})}
		a.pending = append(a.pending, f)
		go func() {
			defer close(f.done)
			f.page, f.err = read(ctx, f.request)
		}()
	}
	return page, nil
}

// expects reports whether the page that r wants is on its way.
func (a *ahead) expects(r ReadRequest) bool { return len(a.pending) > 0 && a.pending[0].request == r }

// wait waits for what is on its way, which nobody wants any more.
func (a *ahead) wait() {
	for _, f := range a.pending {
		<-f.done
	}
	a.pending = nil
}

// last is the number of the last event of a full page without gaps.
func (r ReadRequest) last() int64 {
	if r.Backward {
		return r.From - int64(r.Limit) + 1
	}
	return r.From + int64(r.Limit) - 1
}

// behind is where the page behind that one begins. It is below 1 if there is none.
func (r ReadRequest) behind() int64 {
	if r.Backward {
		return r.last() - 1
	}
	return r.last() + 1
}
