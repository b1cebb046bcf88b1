#include "base/log.h"

// spdlog and fmt are compiled into this file alone, under names of our own. A program that uses
// another version of either links this library without a clash, and needs neither to link it.
#define spdlog raylet_spdlog
#define fmt raylet_fmt
#define FMT_HEADER_ONLY
#define SPDLOG_HEADER_ONLY
#define SPDLOG_FMT_EXTERNAL
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <atomic>
#include <memory>

namespace raylet {
namespace {

std::atomic<LogLevel> lowest_level{LogLevel::kWarning};

spdlog::level::level_enum SpdlogLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarning: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::err;
}

// Never destroyed: other static destructors may still log.
spdlog::logger& Logger() {
  static spdlog::logger* const logger = [] {
    auto* made = new spdlog::logger("raylet", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_level(spdlog::level::trace);  // lowest_level decides
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %P %v");
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *logger;
}

}  // namespace

Result<LogLevel> ParseLogLevel(std::string_view name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "info") return LogLevel::kInfo;
  if (name == "warning") return LogLevel::kWarning;
  if (name == "error") return LogLevel::kError;
  return Fail(ErrorCode::kInvalid, StrCat("\"", name, "\" is no log level: say debug, info, warning or error"));
}

void SetLogLevel(LogLevel level) { lowest_level.store(level, std::memory_order_relaxed); }

bool LogEnabled(LogLevel level) { return level >= lowest_level.load(std::memory_order_relaxed); }

void LogLine(LogLevel level, const std::string& text) {
  Logger().log(SpdlogLevel(level), spdlog::string_view_t(text.data(), text.size()));
}

}  // namespace raylet
