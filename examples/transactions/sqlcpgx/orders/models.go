package orders

type Order struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
	Cents    int64  `json:"cents"`
}

type Spending struct {
	Customer string `json:"customer"`
	Cents    int64  `json:"cents"`
}
