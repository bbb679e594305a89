/*
 * A program with two libraries that Rust has made: neither disturbs the other, and a panic in the other one is caught
 * there. The consumer is the rest of the program.
 */
#include <stdint.h>
#include <stdio.h>

int32_t other_divide(int32_t dividend, int32_t divisor);
int consumer(void);

int main(void)
{
    if (consumer() != 0) {
        return 1;
    }
    if (other_divide(6, 3) != 2 || other_divide(1, 0) != -1) {
        fputs("a panic in the other library is not caught\n", stderr);
        return 1;
    }
    return 0;
}
