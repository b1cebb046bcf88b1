// The exit code of a program that ends with an error. Pure. The daemon and its subcommands give
// each code the same meaning.
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
