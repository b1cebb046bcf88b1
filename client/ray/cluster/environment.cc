#include "client/ray/cluster/environment.h"

#include <filesystem>
#include <nlohmann/json.hpp>

namespace raylet::client {
namespace {

using nlohmann::json;

json Fields(const std::string& text) {
  json fields = json::parse(text, nullptr, /*allow_exceptions=*/false);
  return fields.is_object() ? fields : json::object();
}

}  // namespace

std::string MergeEnvironments(const std::string& own, const std::string& asked) {
  if (asked.empty()) return own;
  json merged = Fields(own);
  const json wanted = Fields(asked);
  for (const auto& [name, value] : wanted.items()) {
    json& field = merged[name];
    if (name == "env_vars" && field.is_object() && value.is_object()) {
      field.update(value);
      continue;
    }
    field = value;
    if (name != "working_dir" || !field.is_string()) continue;
    auto& folder = field.get_ref<std::string&>();
    if (!folder.empty()) folder = std::filesystem::absolute(folder).lexically_normal().string();
  }
  return merged.empty() ? std::string() : merged.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace raylet::client
