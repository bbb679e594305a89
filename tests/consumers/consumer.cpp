// The consumer as C++, so that the header's declarations are linked as C++ sees them.
#include "consumer.c"
