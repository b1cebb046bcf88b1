// RAYLOG(INFO) << "…": one line of the program's log, on its standard error; a worker's goes to its log file. Levels:
// DEBUG, INFO, WARNING, ERROR, FATAL (ends the process). RAY_LOG_LEVEL=debug|info|warning|error sets the least one
// shown.
#pragma once

#include <ray/internal/abi.h>

#include <iostream>
#include <sstream>

#include <ray/internal/export.h>

namespace ray {
namespace internal {

enum class RayLogLevel { kDEBUG, kINFO, kWARNING, kERROR, kFATAL };

RAYLET_API bool RayLogEnabled(RayLogLevel level);

class RAYLET_API RayLogLine {
 public:
  RayLogLine(RayLogLevel level, const char* file, int line) : level_(level), file_(file), line_(line) {}
  RayLogLine(const RayLogLine&) = delete;
  RayLogLine& operator=(const RayLogLine&) = delete;
  ~RayLogLine();  // writes the line, at once and as a whole
  std::ostream& stream() { return stream_; }

 private:
  RayLogLevel level_;
  const char* file_;
  int line_;
  std::ostringstream stream_;
};

// Binds less tightly than <<, so that the whole line is one expression without a value.
struct RayLogVoid {
  void operator&(std::ostream&) const {}
};

}  // namespace internal

#pragma push_macro("DEBUG")
#pragma push_macro("INFO")
#pragma push_macro("WARNING")
#pragma push_macro("ERROR")
#pragma push_macro("FATAL")
#undef DEBUG
#undef INFO
#undef WARNING
#undef ERROR
#undef FATAL
enum class RayLoggerLevel { DEBUG = -1, INFO = 0, WARNING = 1, ERROR = 2, FATAL = 3 };
#pragma pop_macro("FATAL")
#pragma pop_macro("ERROR")
#pragma pop_macro("WARNING")
#pragma pop_macro("INFO")
#pragma pop_macro("DEBUG")

// Whether RAYLOG writes lines of this level.
inline bool IsLevelEnabled(RayLoggerLevel level) {
  constexpr int kDebug = -1;
  return internal::RayLogEnabled(static_cast<internal::RayLogLevel>(static_cast<int>(level) - kDebug));
}

}  // namespace ray

// The level is pasted: programs may have macros named DEBUG or ERROR.
#define RAYLOG(LEVEL)                                                     \
  !::ray::internal::RayLogEnabled(::ray::internal::RayLogLevel::k##LEVEL) \
      ? static_cast<void>(0)                                              \
      : ::ray::internal::RayLogVoid() &                                   \
            ::ray::internal::RayLogLine(::ray::internal::RayLogLevel::k##LEVEL, __FILE__, __LINE__).stream()
