package pgserver

// Until is for the tests of this package.
var Until = until
