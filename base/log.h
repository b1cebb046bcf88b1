// The log of a process: one line per event, "time level pid thing: sentence", to stderr or a file.
// Thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/strings.h"

namespace raylet {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

Result<LogLevel> ParseLogLevel(std::string_view name);  // debug, info, warning, error
void SetLogLevel(LogLevel level);                       // from now on; kWarning until then
bool LogEnabled(LogLevel level);
void LogLine(LogLevel level, const std::string& text);

}  // namespace raylet

#define RAYLET_LOG(level, ...)                                                     \
  do {                                                                             \
    if (::raylet::LogEnabled(::raylet::LogLevel::level))                           \
      ::raylet::LogLine(::raylet::LogLevel::level, ::raylet::StrCat(__VA_ARGS__)); \
  } while (false)
