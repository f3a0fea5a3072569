package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// StreamInfo returns what is known of a stream, or of [All], whose version is the head. Soft-deleted streams are found.
// Errors: [ErrInvalid], [ErrStreamNotFound], ctx's, or the database's.
func (s *Store) StreamInfo(ctx context.Context, stream string) (StreamInfo, error) {
	if err := s.usable(ctx); err != nil {
		return StreamInfo{}, err
	}
	if stream == All {
		head, err := s.Head(ctx)
		return StreamInfo{Stream: All, Version: head}, err
	}
	if err := checkStream(stream); err != nil {
		return StreamInfo{}, err
	}
	return s.reads.StreamInfo(ctx, stream)
}

// ListOptions of [Store.Streams]. Pages are chosen by number, or by the cursor that the page before gave, which costs
// the same for every page and neither skips nor repeats a stream when others come and go.
type ListOptions struct {
	StreamFilter
	// SortBy is the key to sort by; ties are broken by id. Default: SortID.
	SortBy SortBy
	// Descending sorts from high to low.
	Descending bool
	// PageSize is how many streams are wanted at most, up to MaxPageSize. Default: DefaultPageSize.
	PageSize int
	// Page is the number of the page, from 1, for those who page by number. Default: 1 if there is no Cursor.
	Page int
	// Cursor is the Next of the page before, with the same filter and order. Not together with Page.
	Cursor string
}

// StreamPage is a page of streams.
type StreamPage struct {
	Streams []StreamInfo
	// Next is the Cursor of the next page, "" if this is the last.
	Next string

	// The following are set when paging by number only.

	Page, PageSize int
	Total          int64 // streams on all pages
	Pages          int   // at least 1
}

// Streams lists streams, soft-deleted ones included unless the filter says otherwise; [All] is not among them.
// Errors: [ErrInvalid], ctx's, or the database's.
func (s *Store) Streams(ctx context.Context, opts *ListOptions) (StreamPage, error) {
	if err := s.usable(ctx); err != nil {
		return StreamPage{}, err
	}
	if opts == nil {
		opts = &ListOptions{}
	}
	r, err := listRequest(opts)
	if err != nil {
		return StreamPage{}, err
	}
	size := r.Limit
	r.Limit++ // one more tells whether there is another page
	streams, err := s.reads.ListStreams(ctx, r)
	if err != nil {
		return StreamPage{}, err
	}
	page := StreamPage{Streams: streams}
	if len(streams) > size {
		page.Streams = streams[:size]
		page.Next = encodeCursor(r, page.Streams[size-1])
	}
	if opts.Cursor != "" {
		return page, nil
	}
	page.Page, page.PageSize = max(opts.Page, 1), size
	if page.Total, err = s.reads.CountStreams(ctx, r.StreamFilter); err != nil {
		return StreamPage{}, err
	}
	page.Pages = int(max(1, (page.Total+int64(size)-1)/int64(size)))
	return page, nil
}

func listRequest(o *ListOptions) (ListRequest, error) {
	r := ListRequest{StreamFilter: o.StreamFilter, SortBy: o.SortBy, Descending: o.Descending, Limit: o.PageSize}
	if r.SortBy == "" {
		r.SortBy = SortID
	}
	if r.Limit == 0 {
		r.Limit = DefaultPageSize
	}
	switch r.SortBy {
	case SortID, SortName, SortVersion, SortCreated, SortDeleted:
	default:
		return r, &InvalidError{Field: "sort_by", Reason: fmt.Sprintf("%q is none of id, name, version, created, deleted", r.SortBy)}
	}
	switch r.Status {
	case "", Active, Deleted:
	default:
		return r, &InvalidError{Field: "status", Reason: fmt.Sprintf("%q is neither active nor deleted", r.Status)}
	}
	switch {
	case o.PageSize < 0 || o.PageSize > MaxPageSize:
		return r, &InvalidError{Field: "page_size", Reason: fmt.Sprintf("%d is not from 1 to %d", o.PageSize, MaxPageSize)}
	case o.Page < 0:
		return r, &InvalidError{Field: "page", Reason: fmt.Sprintf("%d is negative; pages are numbered from 1", o.Page)}
	case o.Page > 0 && o.Cursor != "":
		return r, &InvalidError{Field: "page", Reason: "can't be given together with cursor"}
	case o.Page > 1<<40:
		return r, &InvalidError{Field: "page", Reason: fmt.Sprintf("%d is beyond every page", o.Page)}
	}
	if r.Search != "" {
		if err := checkText("search", r.Search, MaxStreamName); err != nil {
			return r, err
		}
	}
	r.Offset = (max(o.Page, 1) - 1) * r.Limit
	if o.Cursor == "" {
		return r, nil
	}
	var err error
	r.After, err = decodeCursor(r, o.Cursor)
	return r, err
}

// cursor is what a page's Next says, in base64 of JSON. It holds all keys, which is simpler than one.
type cursor struct {
	Order   string    `json:"o"`
	ID      int64     `json:"i"`
	Name    string    `json:"n"`
	Version int64     `json:"v"`
	Created time.Time `json:"c"`
	Deleted time.Time `json:"d"`
}

// order names what must stay the same from page to page.
func order(r ListRequest) string {
	return strings.Join([]string{string(r.SortBy), fmt.Sprint(r.Descending), string(r.Status), r.Search}, "/")
}

func encodeCursor(r ListRequest, last StreamInfo) string {
	b, _ := json.Marshal(cursor{order(r), last.ID, last.Stream, last.Version, last.CreatedAt, last.DeletedAt})
	return base64.RawURLEncoding.EncodeToString(b)
}

func decodeCursor(r ListRequest, text string) (*StreamInfo, error) {
	var c cursor
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return nil, &InvalidError{Field: "cursor", Reason: "is not one that Streams returned", Err: err}
	}
	if c.Order != order(r) {
		return nil, &InvalidError{Field: "cursor", Reason: "was made with another filter or order"}
	}
	return &StreamInfo{Stream: c.Name, ID: c.ID, Version: c.Version, CreatedAt: c.Created, DeletedAt: c.Deleted}, nil
}
