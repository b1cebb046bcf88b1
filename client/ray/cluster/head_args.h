// HeadArgs: RayConfig::head_args as the private daemons take them. Flags of `ray start --head` that mean something here
// become ours; the others are passed over, by name. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace raylet::client {

struct HeadArgs {
  std::optional<std::string> store_memory;  // for the store: bytes, or with K, M, G
  std::vector<std::string> raylet;          // for the raylet
  std::vector<std::string> passed_over;     // flags without their values
};

HeadArgs ReadHeadArgs(const std::vector<std::string>& words);

}  // namespace raylet::client
