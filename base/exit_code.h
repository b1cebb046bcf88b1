// What the program tells its caller of how it ended. Pure. The daemon and its subcommands mean the same by each number.
#pragma once

#include "base/result.h"

namespace raylet {

inline int ExitCode(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid: return 2;
    case ErrorCode::kNotRunning: return 3;
    case ErrorCode::kNotAllowed: return 4;
    case ErrorCode::kTimedOut: return 5;
    default: return 1;
  }
}

}  // namespace raylet
