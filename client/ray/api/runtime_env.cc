#include <ray/api/runtime_env.h>

#include <nlohmann/json.hpp>

#include <ray/api/exceptions.h>

#include "base/strings.h"

namespace ray {
namespace {

using internal::RayRuntimeEnvException;
using nlohmann::json;
using raylet::StrCat;

json Parse(const std::string& text) {
  json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) throw RayRuntimeEnvException(StrCat("a runtime environment has what is no JSON: ", text));
  return parsed;
}

// Bytes that are no UTF-8 become U+FFFD: JSON has none.
std::string TextOf(const json& value) {
  return value.dump(-1, ' ', /*ensure_ascii=*/false, json::error_handler_t::replace);
}

}  // namespace

void RuntimeEnv::SetJsonStr(const std::string& name, const std::string& json_str) {
  fields_[name] = TextOf(Parse(json_str));
}

std::string RuntimeEnv::GetJsonStr(const std::string& name) const {
  const auto found = fields_.find(name);
  if (found == fields_.end())
    throw RayRuntimeEnvException(StrCat("the runtime environment has no field ", name, ": ask Contains first"));
  return found->second;
}

std::string RuntimeEnv::Serialize() const {
  if (fields_.empty()) return {};
  std::string text = "{";
  for (const auto& [name, value] : fields_)
    text += StrCat(text.size() > 1 ? "," : "", internal::QuoteJson(name), ":", value);
  return text + "}";
}

std::string RuntimeEnv::SerializeToRuntimeEnvInfo() const {
  return StrCat("{\"serializedRuntimeEnv\":", internal::QuoteJson(Serialize()), "}");
}

RuntimeEnv RuntimeEnv::Deserialize(const std::string& serialized_runtime_env) {
  RuntimeEnv environment;
  if (serialized_runtime_env.empty()) return environment;
  for (auto& [name, value] : internal::MembersOfJson(serialized_runtime_env))
    environment.fields_[name] = std::move(value);
  return environment;
}

namespace internal {

std::string QuoteJson(std::string_view text) { return TextOf(json(text)); }
std::string NumberToJson(double number) { return TextOf(json(number)); }

void ThrowNotOfJson(const std::string& text, const char* wanted) {
  throw RayRuntimeEnvException(StrCat("a runtime environment has ", text, " where ", wanted, " is wanted"));
}

std::string StringOfJson(const std::string& text) {
  const json value = Parse(text);
  if (!value.is_string()) ThrowNotOfJson(text, "text");
  return value.get<std::string>();
}
bool BoolOfJson(const std::string& text) {
  const json value = Parse(text);
  if (!value.is_boolean()) ThrowNotOfJson(text, "true or false");
  return value.get<bool>();
}
double DoubleOfJson(const std::string& text) {
  const json value = Parse(text);
  if (!value.is_number()) ThrowNotOfJson(text, "a number");
  return value.get<double>();
}
int64_t IntegerOfJson(const std::string& text) {
  const json value = Parse(text);
  if (!value.is_number_integer()) ThrowNotOfJson(text, "a whole number");
  return value.get<int64_t>();
}
uint64_t UnsignedOfJson(const std::string& text) {
  const json value = Parse(text);
  if (!value.is_number_unsigned()) ThrowNotOfJson(text, "a whole number that is not negative");
  return value.get<uint64_t>();
}
std::vector<std::string> ItemsOfJson(const std::string& text) {
  const json value = Parse(text);
  if (!value.is_array()) ThrowNotOfJson(text, "a list");
  std::vector<std::string> items;
  for (const json& item : value) items.push_back(TextOf(item));
  return items;
}
std::vector<std::pair<std::string, std::string>> MembersOfJson(const std::string& text) {
  const json value = Parse(text);
  if (!value.is_object()) ThrowNotOfJson(text, "an object");
  std::vector<std::pair<std::string, std::string>> members;
  for (const auto& [name, member] : value.items()) members.emplace_back(name, TextOf(member));
  return members;
}

}  // namespace internal
}  // namespace ray
