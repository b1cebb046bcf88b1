// HttpGet: one page of an HTTP server on this machine, for tests. Any thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace raylet::test {

struct HttpAnswer {
  int code = 0;  // 0: no answer in time, or no connection
  std::string headers, body;
};
HttpAnswer HttpGet(const std::string& host, uint16_t port, const std::string& page,
                   Duration timeout = std::chrono::seconds(10));

}  // namespace raylet::test
