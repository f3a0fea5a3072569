package main

func Example() {
	main()
	// Output:
	// The first time there is no snapshot, and all events are read:
	//   2501 events were read; customer-1 has spent 250050
	// The second time the cache starts from its snapshot:
	//   502 events were read; customer-2 has spent 70
}
