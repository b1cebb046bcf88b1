// RAYLOG's lines: "2026-01-31 10:00:00.123 INFO 4711 file.cc:12: text", written with one call, so
// that lines of several threads and processes do not mix.
#include <ray/api/logging.h>

#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "base/strings.h"

namespace ray::internal {
namespace {

constexpr const char* kNames[] = {"DEBUG", "INFO", "WARNING", "ERROR", "FATAL"};

RayLogLevel LeastShown() {
  const char* value = std::getenv("RAY_LOG_LEVEL");
  const std::string_view name = value != nullptr ? value : "";
  if (name == "debug") return RayLogLevel::kDEBUG;
  if (name == "warning") return RayLogLevel::kWARNING;
  if (name == "error") return RayLogLevel::kERROR;
  return RayLogLevel::kINFO;
}

}  // namespace

bool RayLogEnabled(RayLogLevel level) {
  static const RayLogLevel least = LeastShown();
  return level >= least;
}

RayLogLine::~RayLogLine() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  localtime_r(&now.tv_sec, &parts);
  char time[32];
  const size_t size = strftime(time, sizeof time, "%Y-%m-%d %H:%M:%S", &parts);
  std::snprintf(time + size, sizeof time - size, ".%03ld", now.tv_nsec / 1000000);
  const char* slash = std::strrchr(file_, '/');
  const std::string line = raylet::StrCat(time, " ", kNames[static_cast<int>(level_)], " ", getpid(), " ",
                                          slash != nullptr ? slash + 1 : file_, ":", line_, ": ", stream_.str(), "\n");
  for (size_t done = 0; done < line.size();) {
    const ssize_t n = write(STDERR_FILENO, line.data() + done, line.size() - done);
    if (n <= 0) break;  // a closed standard error must not end the program
    done += static_cast<size_t>(n);
  }
  if (level_ == RayLogLevel::kFATAL) std::abort();
}

}  // namespace ray::internal
