// A function and its RAY_REMOTE, on line 9; registry_test.cc has another one on its line 9.
#pragma once

#include <ray/api.h>

inline int InHeader() { return 41; }

RAY_REMOTE(InHeader);
