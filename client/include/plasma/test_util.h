// Helpers for the tests of programs that were written for Plasma. Any thread.
#pragma once

#include <cstdlib>  // WIFEXITED and WEXITSTATUS

#include <plasma/common.h>

namespace plasma {

inline ObjectID random_object_id() { return ObjectID::from_random(); }

}  // namespace plasma

// In a GoogleTest case: a command run by system() succeeded.
#define PLASMA_CHECK_SYSTEM(expression)     \
  do {                                      \
    const int raylet_end_ = (expression);   \
    EXPECT_TRUE(WIFEXITED(raylet_end_));    \
    EXPECT_EQ(WEXITSTATUS(raylet_end_), 0); \
  } while (false)
