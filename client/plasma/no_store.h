// NoStoreServes: the error where no plasma_store serves a socket, with the command that starts one. Any thread.
#pragma once

#include <string>

#include "base/result.h"
#include "base/strings.h"

namespace raylet::client {

inline tl::unexpected<Error> NoStoreServes(const std::string& socket) {
  return Fail(ErrorCode::kNotRunning,
              StrCat("no plasma_store serves ", socket, ": start one with plasma_store -m 1G -s ", socket));
}

}  // namespace raylet::client
