package main

func Example() {
	main()
	// Output:
	// What there is:
	//   1: customer-1 is Ada Lovelace, ada@example.com
	//   2: customer-1 has ordered for 4200 cents
	//   3: customer-2 is Mary Somerville, mary@example.com
	// Ada asks to be forgotten.
	//   1: customer-1 is forgotten
	//   2: customer-1 has ordered for 4200 cents
	//   3: customer-2 is Mary Somerville, mary@example.com
}
