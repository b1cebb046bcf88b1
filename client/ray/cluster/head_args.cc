#include "client/ray/cluster/head_args.h"

#include <algorithm>
#include <string_view>

namespace raylet::client {
namespace {

// Flags of Ray's that have no meaning for private daemons.
constexpr std::string_view kPassedOverWithValue[] = {
    "--include-dashboard", "--dashboard-host",   "--dashboard-port",         "--dashboard-agent-listen-port",
    "--node-ip-address",   "--node-name",        "--node-manager-port",      "--object-manager-port",
    "--temp-dir",          "--plasma-directory", "--redis-password",         "--redis-username",
    "--redis-shard-ports", "--labels",           "--min-worker-port",        "--max-worker-port",
    "--worker-port-list",  "--system-config",    "--ray-client-server-port", "--object-spilling-directory"};
constexpr std::string_view kPassedOver[] = {"--disable-usage-stats", "--no-monitor", "--block", "--verbose",
                                            "--no-redirect-output"};

bool Among(std::string_view flag, const auto& flags) {
  return std::find(std::begin(flags), std::end(flags), flag) != std::end(flags);
}

}  // namespace

HeadArgs ReadHeadArgs(const std::vector<std::string>& words) {
  HeadArgs args;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const size_t equals = std::min(word.find('='), word.size());
    const std::string flag = word.substr(0, equals);
    const auto value = [&]() -> std::string {
      if (equals != word.size()) return word.substr(equals + 1);
      return i + 1 < words.size() ? words[++i] : std::string();
    };
    if (flag == "--metrics-export-port") {
      args.raylet.insert(args.raylet.end(), {"--metrics-port", value()});
    } else if (flag == "--object-store-memory") {
      args.store_memory = value();
    } else if (Among(flag, kPassedOverWithValue)) {
      args.passed_over.push_back(flag);
      static_cast<void>(value());
    } else if (Among(flag, kPassedOver)) {
      args.passed_over.push_back(flag);
    } else {
      args.raylet.push_back(word);
    }
  }
  return args;
}

}  // namespace raylet::client
