// Package heap tests how much memory readers of large events take. Its tests have a process of their own, since they measure it.
package heap
