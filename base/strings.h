// StrCat(...) and byte counts for people: the text functions that every room needs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace raylet {

namespace strings_internal {
inline void Append(std::string& out, std::string_view text) { out.append(text); }
inline void Append(std::string& out, const char* text) { out.append(text); }
inline void Append(std::string& out, const std::string& text) { out.append(text); }
inline void Append(std::string& out, char c) { out.push_back(c); }
template <class T>
requires std::is_arithmetic_v<T>
void Append(std::string& out, T value) { out.append(std::to_string(value)); }
}  // namespace strings_internal

template <class... Args>
std::string StrCat(const Args&... args) {
  std::string out;
  (strings_internal::Append(out, args), ...);
  return out;
}

// "407.1 KiB", "1.0 GiB", "12 B".
std::string FormatBytes(uint64_t bytes);
// "64M", "1.5G", "1000000": a number above zero, alone or with K, M or G of either case. Nothing for any other text.
std::optional<uint64_t> ParseBytes(const std::string& text);

}  // namespace raylet
