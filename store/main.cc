// plasma_store: the daemon that owns the objects of one machine. Builds its parts by hand and runs one loop.
#include <csignal>

#include <CLI/CLI.hpp>
#include <cctype>
#include <cstdio>
#include <optional>

#include "base/log.h"
#include "store/store_server.h"

namespace {

// "512M", "1G", "65536": bytes.
std::optional<uint64_t> ParseBytes(const std::string& text) {
  size_t used = 0;
  uint64_t value = 0;
  while (used < text.size() && std::isdigit(static_cast<unsigned char>(text[used])) != 0 && used < 15)
    value = value * 10 + static_cast<uint64_t>(text[used++] - '0');
  if (used == 0 || text.size() - used > 1) return std::nullopt;
  if (used == text.size()) return value;
  switch (std::toupper(static_cast<unsigned char>(text[used]))) {
    case 'K': return value << 10;
    case 'M': return value << 20;
    case 'G': return value << 30;
    default: return std::nullopt;
  }
}

int Fatal(const std::string& sentence, int code) {
  std::fprintf(stderr, "plasma_store: %s\n", sentence.c_str());
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "plasma_store keeps immutable objects in shared memory; every process of the machine maps them without a copy.\n"
      "Example: plasma_store -m 1G -s /tmp/plasma/store.sock"};
  std::string memory, socket, log_level = "warning";
  int ready_fd = -1, lifeline_fd = -1;
  app.set_help_flag("--help", "Print this and exit");
  app.set_version_flag("--version", std::string("plasma_store ") + raylet::kBuild);
  app.add_option("-m,--memory", memory, "Capacity in bytes, or with K, M or G; reserved at once")->required();
  app.add_option("-s,--socket", socket, "Unix socket to serve; its folder must exist")->required();
  app.add_option("--log-level", log_level, "debug, info, warning or error");
  app.add_option("--ready-fd", ready_fd, "Write one byte to this descriptor once clients may connect");
  app.add_option("--lifeline-fd", lifeline_fd, "Stop when this descriptor reads end-of-file");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const auto bytes = ParseBytes(memory);
  if (!bytes || *bytes < (uint64_t{1} << 20))
    return Fatal("-m '" + memory + "' is no size; give at least 1M, for example -m 1G", 2);
  const auto level = raylet::ParseLogLevel(log_level);
  if (!level) return Fatal(level.error().message, 2);
  raylet::SetLogLevel(*level);

  raylet::Loop loop;
  auto server = raylet::store::StoreServer::Start(loop, socket, *bytes);
  if (!server) return Fatal(server.error().message, 1);
  const raylet::SignalWatcher terminate(loop, SIGTERM, [&] { loop.Stop(); });
  const raylet::SignalWatcher interrupt(loop, SIGINT, [&] { loop.Stop(); });
  raylet::FdWatcher lifeline;
  if (lifeline_fd >= 0) {
    lifeline = raylet::FdWatcher(loop, lifeline_fd, [&](raylet::FdWatcher::Events) {
      char byte = 0;
      if (::read(lifeline_fd, &byte, 1) == 0) loop.Stop();
    });
    lifeline.Watch({.readable = true, .writable = false});
  }
  std::printf("plasma_store: serving %s, %s\n", socket.c_str(), raylet::FormatBytes(*bytes).c_str());
  std::fflush(stdout);
  if (ready_fd >= 0 && ::write(ready_fd, "r", 1) != 1)
    RAYLET_LOG(kWarning, "--ready-fd ", ready_fd, " takes no byte: ", std::strerror(errno));
  loop.Run();
  server->reset();
  return 0;
}
