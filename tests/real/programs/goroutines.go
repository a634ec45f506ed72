// SPDX-License-Identifier: LGPL-2.1-or-later

// Goroutines that compute, wait and allocate. Answers each line with "ok ROUNDS"; ends at the end
// of its input.
package main

import (
	"bufio"
	"fmt"
	"os"
	"sync/atomic"
)

var rounds, wrong int64

func allocator(start int) {
	for {
		numbers := make([]int, 10000)
		for i := range numbers {
			numbers[i] = start + i
		}
		sum := 0
		for _, n := range numbers {
			sum += n
		}
		if sum != 10000*start+9999*10000/2 {
			atomic.AddInt64(&wrong, 1)
		}
		atomic.AddInt64(&rounds, 1)
	}
}

func waiter(never chan int) {
	<-never
}

func main() {
	never := make(chan int)
	for i := 0; i < 3; i++ {
		go allocator(i)
	}
	for i := 0; i < 100; i++ {
		go waiter(never)
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if wrong := atomic.LoadInt64(&wrong); wrong != 0 {
			fmt.Println("wrong", wrong)
		} else {
			fmt.Println("ok", atomic.LoadInt64(&rounds))
		}
	}
}
