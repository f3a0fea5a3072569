// Package serializer has serializers for [store.Options], and the registry that gives the types of events their names.
//
//	types := serializer.NewTypes()
//	serializer.Register[OrderPlaced](types, "order.placed")
//	es := store.New(backend, &store.Options{Serializer: serializer.JSON(types)})
//
// Names are chosen, never taken from Go, so that a type may be renamed or moved while events of years ago still decode.
package serializer
