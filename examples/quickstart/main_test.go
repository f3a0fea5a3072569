package main

func Example() {
	main()
	// Output:
	// Append two events to a stream that must be new:
	//   account-7 is at version 2
	// Append to what we believe is version 1:
	//   refused: it is at version 2 by now
	// Change a table of our own and append, in one transaction:
	//   the table says 300
	// Read one stream:
	//   version 1: deposited 5000
	//   version 2: withdrawn 1200
	// Read all streams, in their one order:
	//   position 1: deposited in account-7
	//   position 2: withdrawn in account-7
	//   position 3: deposited in account-8
}
