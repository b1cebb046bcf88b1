#include "store/flags.h"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/strings.h"
#include "base/unique_fd.h"
#include "store/config_file.h"
#include "store/flag_forms.h"

namespace raylet::store {
namespace {

constexpr int kUsage = 2;
constexpr const char* kAbout =
    "plasma_store keeps immutable objects in shared memory: one process creates and seals them, every process of the "
    "same user on this machine reads them in place, without a copy.";
constexpr const char* kExample =
    "Each flag that names a variable may also be set there, or in the file of --config by its long name without the\n"
    "dashes. Flags win over variables, and variables over the file.\n"
    "Example:\n"
    "  mkdir -m 0700 /tmp/run\n"
    "  plasma_store -m 1G -s /tmp/run/store &\n"
    "Reserves its memory at start (about 28 % more than -m, for rounding) and removes its socket and its index when "
    "it\n"
    "is stopped by SIGTERM or SIGINT.\n"
    "Exit codes: 0 stopped as asked, 1 failed, 2 usage.";
constexpr const char* kFromFile = "settings";  // the group of the flags that a file may set

// What is wrong with it, or nothing.
std::string CheckPort(const std::string& text) {
  const bool digits = !text.empty() && text.size() <= 5 && text.find_first_not_of("0123456789") == std::string::npos;
  return digits && std::stoul(text) <= 65535 ? "" : StrCat("'", text, "' is no port: say a number from 0 to 65535");
}

Result<std::string> ReadConfig(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return FailErrno(StrCat("cannot read the config file ", path), errno);
  std::string text(kConfigBytesMax + 1, 0);
  size_t size = 0;
  for (ssize_t got = 1; got != 0 && size < text.size();) {
    got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno != EINTR) return FailErrno(StrCat("cannot read the config file ", path), errno);
    size += got > 0 ? static_cast<size_t>(got) : 0;
    if (got < 0) got = 1;
  }
  text.resize(size);
  return text;
}

std::string KnownKeys(const CLI::App& app) {
  std::string keys;
  for (const CLI::Option* option : app.get_options())
    if (option->get_group() == kFromFile) keys += StrCat(keys.empty() ? "" : ", ", option->get_lnames().front());
  return keys;
}

// Sets what neither the command line nor the environment has set.
Result<void> ApplyConfig(const std::string& path, CLI::App& app) {
  const auto text = ReadConfig(path);
  if (!text) return Fail(ErrorCode::kInvalid, text.error().message);
  const auto settings = ParseConfig(*text);
  if (!settings) return Fail(ErrorCode::kInvalid, StrCat("config file ", path, ": ", settings.error().message));
  for (const Setting& setting : *settings) {
    CLI::Option* const option = app.get_option_no_throw(StrCat("--", setting.key));
    if (option == nullptr || option->get_group() != kFromFile)
      return Fail(ErrorCode::kInvalid, StrCat("config file ", path, ": line ", setting.line, " sets ", setting.key,
                                              ", which is no setting; there are: ", KnownKeys(app)));
    if (option->count() > 0) continue;
    try {
      option->add_result(setting.value);
      option->run_callback();
    } catch (const CLI::ParseError& error) {
      return Fail(ErrorCode::kInvalid, StrCat("config file ", path, ": line ", setting.line, ": ", error.what()));
    }
  }
  return {};
}

// The first thing that is wrong.
Result<void> Finish(Flags& flags, CLI::App& app) {
  if (!flags.config.empty()) RAYLET_RETURN_IF_ERROR(ApplyConfig(flags.config, app));
  if (!flags.take_over.empty()) {
    if (flags.socket.empty()) flags.socket = flags.take_over;
    if (flags.socket != flags.take_over)
      return Fail(ErrorCode::kInvalid,
                  StrCat("--take-over goes on at ", flags.take_over, ", and -s says ", flags.socket, ": leave -s out"));
    return {};  // -m is the other store's
  }
  const struct {
    const std::string& value;
    const char* name;
    const char* variable;
  } required[] = {{flags.memory, "-m/--memory", "PLASMA_STORE_MEMORY"},
                  {flags.socket, "-s/--socket", "PLASMA_STORE_SOCKET"}};
  for (const auto& each : required)
    if (each.value.empty())
      return Fail(ErrorCode::kInvalid, StrCat(each.name, " is required: say it, set ", each.variable,
                                              ", or set it in the file of --config; --help shows an example"));
  return {};
}

}  // namespace

ParsedFlags ParseFlags(int argc, char** argv) {
  ParsedFlags parsed;
  Flags& flags = parsed.flags;
  CLI::App app(kAbout, "plasma_store");
  app.footer(kExample);
  app.set_help_flag("--help", "Print this and exit");
  app.set_version_flag("--version", StrCat("plasma_store ", RAYLET_VERSION));
  const auto setting = [](CLI::Option* option, const char* variable) {
    return option->envname(variable)->group(kFromFile);
  };
  setting(app.add_option("-m,--memory", flags.memory, "Bytes of objects to hold, with K, M or G"),
          "PLASMA_STORE_MEMORY");
  setting(app.add_option("-s,--socket", flags.socket, "Unix socket to serve, at most 107 bytes"),
          "PLASMA_STORE_SOCKET");
  setting(app.add_option("-d,--directory", flags.directory, "Does nothing: objects lie in anonymous shared memory"),
          "PLASMA_STORE_DIRECTORY");
  setting(
      app.add_flag("-h,--hugepages", flags.hugepages,
                   "Put objects into huge pages: those that the machine has reserved (vm.nr_hugepages), or else those "
                   "that its kernel makes for shared memory where it takes advice (shmem_enabled)"),
      "PLASMA_STORE_HUGEPAGES");
  setting(app.add_option("-e,--external-store", flags.external_store,
                         "file:///FOLDER: evict nothing; write objects to a folder in there when there is no room, and "
                         "read them back at a get"),
          "PLASMA_STORE_EXTERNAL_STORE");
  setting(
      app.add_option("--spill-dir", flags.spill_dir,
                     "Write objects that may not be evicted to a folder in here when there is no room, and read them "
                     "back at a get"),
      "PLASMA_STORE_SPILL_DIR");
  setting(app.add_option("--spill-max", flags.spill_max, "The most that these files take, in bytes, with K, M or G")
              ->default_str("what the disk has"),
          "PLASMA_STORE_SPILL_MAX");
  setting(app.add_option("--isolation", flags.isolation,
                         "user: clients are processes of this user. strict: of any user that may enter the socket's "
                         "folder; they read the objects' memory, and the store copies what they write")
              ->check(CLI::IsMember({"user", "strict"}))
              ->capture_default_str(),
          "PLASMA_STORE_ISOLATION");
  setting(app.add_option("--log-level", flags.log_level, "debug, info, warning or error")->capture_default_str(),
          "PLASMA_STORE_LOG_LEVEL");
  setting(app.add_option("--metrics-port", flags.metrics_port,
                         "Serve /metrics, /livez and /readyz over HTTP at this port; 0: at any that is free")
              ->check(CheckPort),
          "PLASMA_STORE_METRICS_PORT");
  setting(app.add_option("--metrics-address", flags.metrics_address,
                         "The address for that: other machines may read the metrics where it is not a loopback one")
              ->capture_default_str(),
          "PLASMA_STORE_METRICS_ADDRESS");
  setting(app.add_option("--decay", flags.decay_s,
                         "Give memory that no object uses for so many seconds back to the machine. A create takes it "
                         "again where the machine still has it. 0: keep all")
              ->check(CLI::Range(0U, 1'000'000U))
              ->capture_default_str(),
          "PLASMA_STORE_DECAY");
  app.add_option("--take-over", flags.take_over,
                 "Go on with the objects, clients and pins of the plasma_store that serves this socket, and end it; it "
                 "may be of another release. -m and -s are that one's");
  app.add_option("--config", flags.config,
                 "Read settings from this file (/etc/raylet/plasma_store.toml for the service)");
  app.add_option("--memory-root", flags.memory_root,
                 "Read what memory is left from proc/ and sys/ below this folder (tests)")
      ->default_str("/");
  setting(app.add_option("--deaths-max", flags.deaths_max,
                         "Give up when the server dies so often within 10 seconds; its objects outlive fewer deaths")
              ->check(CLI::Range(1U, 1'000'000U))
              ->capture_default_str(),
          "PLASMA_STORE_DEATHS_MAX");
  app.add_option("--ready-fd", flags.ready_fd, "Write one byte to this descriptor when ready");
  app.add_option("--lifeline-fd", flags.lifeline_fd, "Stop when this descriptor reads end of file");
  flags.words = {argv, argv + argc};
  try {
    std::vector<std::string> words = InOurForms({argv + 1, argv + argc});
    std::reverse(words.begin(), words.end());  // as CLI11 wants them
    app.parse(std::move(words));
  } catch (const CLI::Success& success) {
    parsed.exit_code = app.exit(success);
    return parsed;
  } catch (const CLI::ParseError& error) {
    app.exit(error);
    parsed.exit_code = kUsage;
    return parsed;
  }
  if (const auto finished = Finish(flags, app); !finished) {
    std::fprintf(stderr, "plasma_store: %s\n", finished.error().message.c_str());
    parsed.exit_code = kUsage;
  }
  return parsed;
}

}  // namespace raylet::store
