#include "client/ray/cluster/head_args.h"

#include <algorithm>
#include <string_view>

#include <ray/api/exceptions.h>

#include "base/strings.h"

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

// {"license": 1} with GPUs beside it: {"GPU": 2, "license": 1}.
std::string WithGpus(const std::string& gpus, std::string_view resources) {
  if (gpus.empty() || gpus.find_first_not_of("0123456789") != std::string::npos)
    throw ray::internal::RayException(StrCat("head_args: --num-gpus ", gpus, ": a whole number is wanted"));
  const size_t brace = resources.find('{');
  std::string_view rest = brace == std::string_view::npos ? "}" : resources.substr(brace + 1);
  const size_t first = rest.find_first_not_of(" \t\n");
  const bool alone = first == std::string_view::npos || rest[first] == '}';
  return StrCat("{\"GPU\": ", gpus, alone ? "" : ", ", rest);
}

}  // namespace

HeadArgs ReadHeadArgs(const std::vector<std::string>& words) {
  HeadArgs args;
  std::optional<std::string> gpus;
  std::optional<std::string> resources;
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
    } else if (flag == "--num-gpus") {
      gpus = value();
    } else if (flag == "--resources") {
      resources = value();
    } else if (Among(flag, kPassedOverWithValue)) {
      args.passed_over.push_back(flag);
      static_cast<void>(value());
    } else if (Among(flag, kPassedOver)) {
      args.passed_over.push_back(flag);
    } else {
      args.raylet.push_back(word);
    }
  }
  if (gpus && *gpus != "0") resources = WithGpus(*gpus, resources.value_or("{}"));
  if (resources) {
    args.raylet.emplace_back("--resources");
    args.raylet.push_back(*std::move(resources));
  }
  return args;
}

}  // namespace raylet::client
