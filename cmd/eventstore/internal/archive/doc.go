// Package archive is the format in which a store is exported, and its writing and reading.
//
// An archive is text: one JSON object per line, which says in "kind" what it is. The first is the header, then come all
// streams, links, snapshots and subscriptions, as they were in one moment; then the events in their global order; then, if
// there were any, streams that were hard deleted meanwhile; and an end, with a checksum of all lines before. What is in
// "data" and "metadata" is byte for byte what was stored; what is no JSON, or does not fit into a line, is in "data_base64"
// and "metadata_base64". The text may be compressed with zstd, in one frame or several.
package archive
