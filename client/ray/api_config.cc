#include "client/ray/api_config.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include <ray/api/exceptions.h>

#include "base/strings.h"
#include "client/ray/api/function_registry.h"

namespace raylet::client {
namespace {

using ray::internal::RayException;

constexpr std::string_view kPrefix = "--ray_";

std::vector<std::string> SplitPaths(std::string_view text) {
  std::vector<std::string> paths;
  while (!text.empty()) {
    const size_t colon = std::min(text.find(':'), text.size());
    if (colon != 0) paths.emplace_back(text.substr(0, colon));
    text.remove_prefix(std::min(colon + 1, text.size()));
  }
  return paths;
}

bool ParseBool(const std::string& name, const std::string& value) {
  if (value == "true" || value == "1") return true;
  if (value == "false" || value == "0") return false;
  throw RayException(StrCat("--ray_", name, "=", value, ": true or false is wanted"));
}

ray::ActorLifetime ParseLifetime(const std::string& value) {
  std::string lower = value;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (lower == "detached") return ray::ActorLifetime::DETACHED;
  if (lower == "non_detached") return ray::ActorLifetime::NON_DETACHED;
  throw RayException(StrCat("--ray_default_actor_lifetime=", value, ": detached or non_detached is wanted"));
}

// Whether the flag is one of ours. Those of Ray's that mean nothing here (ports, passwords) are
// accepted and ignored.
void ApplyFlag(ray::RayConfig& config, const std::string& name, const std::string& value) {
  if (name == "address") config.address = value;
  if (name == "local_mode") config.local_mode = ParseBool(name, value);
  if (name == "code_search_path") config.code_search_path = SplitPaths(value);
  if (name == "head_args") config.head_args = SplitWords(value);
  if (name == "default_actor_lifetime") config.default_actor_lifetime = ParseLifetime(value);
  if (name == "namespace" || name == "job_namespace") config.ray_namespace = value;
  if (name == "logs_dir") config.logs_dir = value;
  if (name == "runtime_env") config.runtime_env = ray::RuntimeEnv::Deserialize(value);
}

void LoadLibrary(const std::string& path) {
  if (dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr)
    throw RayException(StrCat("code_search_path: cannot load ", path, ": ", dlerror()));
}

}  // namespace

std::vector<std::string> SplitWords(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  int braces = 0;
  for (const char c : text) {
    if (quote == 0 && braces == 0 && (c == ' ' || c == '\t' || c == '\n')) {
      if (in_word) words.push_back(std::exchange(word, {}));
      in_word = false;
      continue;
    }
    in_word = true;
    if (quote != 0) {
      if (c == quote)
        quote = 0;
      else
        word.push_back(c);
      continue;
    }
    if (braces == 0 && (c == '\'' || c == '"')) {  // quotes within braces are JSON's own
      quote = c;
      continue;
    }
    if (c == '{') ++braces;
    if (c == '}' && braces > 0) --braces;
    word.push_back(c);
  }
  if (in_word) words.push_back(std::move(word));
  return words;
}

ray::RayConfig ResolveConfig(ray::RayConfig config, int argc, const char* const* argv) {
  std::optional<std::string> address_flag;
  for (int i = 1; i < argc && argv != nullptr && argv[i] != nullptr; ++i) {
    const std::string_view argument = argv[i];
    if (!argument.starts_with(kPrefix)) continue;
    const size_t equals = argument.find('=');
    std::string name(argument.substr(0, equals).substr(kPrefix.size()));
    std::replace(name.begin(), name.end(), '-', '_');
    std::string value;
    if (equals != std::string_view::npos) {
      value = argument.substr(equals + 1);
    } else if (i + 1 < argc && argv[i + 1] != nullptr) {
      value = argv[++i];
    } else {
      throw RayException(StrCat(argument, " needs a value: ", argument, "=…"));
    }
    ApplyFlag(config, name, value);
  }
  if (config.address.empty()) {
    const char* address = std::getenv("RAY_ADDRESS");
    if (address != nullptr) config.address = address;
  }
  return config;
}

void LoadCodeSearchPath(const std::vector<std::string>& paths) {
  namespace fs = std::filesystem;
  if (paths.empty()) return;
  struct KeepFirst {
    KeepFirst() { FunctionRegistry::Instance().SetKeepFirst(true); }
    ~KeepFirst() { FunctionRegistry::Instance().SetKeepFirst(false); }
  } keep_first;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      if (!fs::exists(path, error)) throw RayException(StrCat("code_search_path: there is no ", path));
      LoadLibrary(fs::absolute(path, error).string());
      continue;
    }
    std::vector<std::string> libraries;
    for (const auto& entry : fs::directory_iterator(path, error))
      if (entry.path().extension() == ".so") libraries.push_back(fs::absolute(entry.path()).string());
    if (error) throw RayException(StrCat("code_search_path: cannot read folder ", path, ": ", error.message()));
    std::sort(libraries.begin(), libraries.end());
    for (const std::string& library : libraries) LoadLibrary(library);
  }
}

}  // namespace raylet::client
