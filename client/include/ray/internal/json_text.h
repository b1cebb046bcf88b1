// Values to JSON texts and back, for RuntimeEnv. The library parses; so this header needs no JSON library. Types that
// it does not know go by the user's own nlohmann::json.
#pragma once

#include <ray/internal/abi.h>

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#if __has_include(<nlohmann/json_fwd.hpp>)
#include <nlohmann/json_fwd.hpp>  // a declaration alone
#endif

#include <ray/internal/export.h>

namespace ray {
namespace internal {

RAYLET_API std::string QuoteJson(std::string_view text);
// Each throws RayRuntimeEnvException where the text is another kind of value.
RAYLET_API std::string StringOfJson(const std::string& json);
RAYLET_API bool BoolOfJson(const std::string& json);
RAYLET_API double DoubleOfJson(const std::string& json);
RAYLET_API int64_t IntegerOfJson(const std::string& json);
RAYLET_API uint64_t UnsignedOfJson(const std::string& json);
RAYLET_API std::vector<std::string> ItemsOfJson(const std::string& json);
RAYLET_API std::vector<std::pair<std::string, std::string>> MembersOfJson(const std::string& json);
RAYLET_API std::string NumberToJson(double number);
[[noreturn]] RAYLET_API void ThrowNotOfJson(const std::string& json, const char* wanted);

template <class T>
struct JsonList : std::false_type {};
template <class E, class A>
struct JsonList<std::vector<E, A>> : std::true_type {};
template <class T>
struct JsonMap : std::false_type {};
template <class V, class C, class A>
struct JsonMap<std::map<std::string, V, C, A>> : std::true_type {};
template <class V, class H, class E, class A>
struct JsonMap<std::unordered_map<std::string, V, H, E, A>> : std::true_type {};

#ifdef INCLUDE_NLOHMANN_JSON_FWD_HPP_
// Dependent, so that json need not be complete before the user's code asks for it.
template <class>
struct UsersJson {
  using Type = nlohmann::json;
};
#else
template <class T>
struct UsersJson {
  static_assert(!sizeof(T*), "a RuntimeEnv takes this type only by nlohmann::json, which is not installed");
};
#endif

template <class T>
std::string ToJsonText(const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_integral_v<T>) {
    return std::to_string(value);
  } else if constexpr (std::is_floating_point_v<T>) {
    return NumberToJson(value);
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    return QuoteJson(value);
  } else if constexpr (JsonList<T>::value) {
    std::string text = "[";
    for (const auto& item : value) text += (text.size() > 1 ? "," : "") + ToJsonText(item);
    return text + "]";
  } else if constexpr (JsonMap<T>::value) {
    std::string text = "{";
    for (const auto& [name, item] : value)
      text += (text.size() > 1 ? "," : "") + QuoteJson(name) + ":" + ToJsonText(item);
    return text + "}";
  } else {
    using Json = typename UsersJson<T>::Type;
    return Json(value).dump();
  }
}

template <class T>
T FromJsonText(const std::string& json) {
  if constexpr (std::is_same_v<T, bool>) {
    return BoolOfJson(json);
  } else if constexpr (std::is_integral_v<T>) {
    using Wide = std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>;
    Wide number = 0;
    if constexpr (std::is_signed_v<T>)
      number = IntegerOfJson(json);
    else
      number = UnsignedOfJson(json);
    if (number < std::numeric_limits<T>::min() || number > std::numeric_limits<T>::max())
      ThrowNotOfJson(json, "a number within the bounds of the type");
    return static_cast<T>(number);
  } else if constexpr (std::is_floating_point_v<T>) {
    return static_cast<T>(DoubleOfJson(json));
  } else if constexpr (std::is_same_v<T, std::string>) {
    return StringOfJson(json);
  } else if constexpr (JsonList<T>::value) {
    T list;
    for (const std::string& item : ItemsOfJson(json)) list.push_back(FromJsonText<typename T::value_type>(item));
    return list;
  } else if constexpr (JsonMap<T>::value) {
    T map;
    for (const auto& [name, item] : MembersOfJson(json)) map[name] = FromJsonText<typename T::mapped_type>(item);
    return map;
  } else {
    using Json = typename UsersJson<T>::Type;
    return Json::parse(json).template get<T>();
  }
}

}  // namespace internal
}  // namespace ray
