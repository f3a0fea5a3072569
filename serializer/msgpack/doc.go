// Package msgpack stores events as MessagePack, which is smaller than JSON and quicker to decode. The format is
// github.com/vmihailenco/msgpack/v5's, with guards: see [Format].
//
//	serializer.New(msgpack.Format{}, &serializer.Options{Types: types, Formats: []serializer.Format{serializer.JSONFormat{}}})
//
// is a serializer for a store that used JSON before: it reads both, and writes MessagePack.
//
// # What differs from JSON
//
//   - Fields are named by msgpack tags, and matched exactly. With UseJSONTags, json tags do where there is no msgpack tag;
//     their option "string" means nothing here.
//   - A []byte is stored as it is. A time.Time keeps its instant to the nanosecond, and comes back in the local zone.
//   - A type with a MarshalBinary or MarshalText method is stored as what that returns; MarshalJSON is not called.
//   - Decoded into an any, numbers are of the smallest type that they were stored in, such as int8 or uint16, and maps are
//     map[string]any, whose keys must be strings. See [Format.Loose].
//   - Extension types other than the time are refused, interned strings among them.
//   - Decoding into a struct with an embedded pointer to a struct starts a goroutine of the library's, one for each such
//     type, which stays. Embed the struct itself.
//   - A value that contains itself ends the program, where encoding/json returns an error.
package msgpack
