// Package protobuf stores events as Protocol Buffers. Their values are messages: pointers to the structs that protoc-gen-go
// generates.
//
//	types := serializer.NewTypes()
//	protobuf.Register[*orders.OrderPlaced](types)
//	s := serializer.New(protobuf.Format{}, &serializer.Options{Types: types})
//
// The rules by which messages may change are Protocol Buffers' own: add fields, and never use a number again. What can't be
// said so becomes a new version, under [serializer.RegisterVersion], with an upcaster.
package protobuf
