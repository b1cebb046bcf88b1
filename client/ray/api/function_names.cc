#include "client/ray/api/function_names.h"

#include <ray/api/exceptions.h>
#include <ray/api/function_manager.h>
#include <ray/api/ray_remote.h>

#include "base/strings.h"

namespace raylet::client {
namespace {

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

// "operator<", "operator->*", "operator()": the punctuation behind the keyword is no bracket.
size_t EndOfOperator(std::string_view text, size_t i) {
  constexpr std::string_view kKeyword = "operator";
  if (text.substr(i, kKeyword.size()) != kKeyword) return i;
  const auto is_word = [](char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  if (i > 0 && is_word(text[i - 1])) return i;
  i += kKeyword.size();
  if (text.substr(i, 2) == "()" || text.substr(i, 2) == "[]") return i + 2;
  while (i < text.size() && std::string_view("<>=!-*+/%^&|~").find(text[i]) != std::string_view::npos) ++i;
  return i;
}

}  // namespace

std::vector<std::string> SplitAtOuterCommas(std::string_view text) {
  std::vector<std::string> names;
  size_t begin = 0;
  int depth = 0;
  for (size_t i = 0; i < text.size();) {
    if (const size_t end = EndOfOperator(text, i); end != i) {
      i = end;
      continue;
    }
    const char c = text[i];
    if (c == '(' || c == '[' || c == '{' || c == '<') ++depth;
    if (c == ')' || c == ']' || c == '}' || c == '>') --depth;
    if (c == ',' && depth == 0) {
      names.emplace_back(Trim(text.substr(begin, i - begin)));
      begin = i + 1;
    }
    ++i;
  }
  names.emplace_back(Trim(text.substr(begin)));
  return names;
}

}  // namespace raylet::client

namespace ray::internal {

std::vector<std::string> SplitNames(const char* names, size_t count) {
  std::vector<std::string> split = raylet::client::SplitAtOuterCommas(names);
  if (split.size() != count)
    throw RayException(raylet::StrCat("RAY_REMOTE(", names, ") names ", count,
                                      " functions in a way that cannot be told apart: use one RAY_REMOTE for each"));
  return split;
}

std::string FunctionManager::GetClassNameByFuncName(const std::string& function_name) {
  constexpr std::string_view kOverload = "RAY_FUNC(";
  std::string_view name = function_name;
  if (const size_t at = name.find(kOverload); at != std::string_view::npos) {
    name.remove_prefix(at + kOverload.size());
    name = name.substr(0, name.find_first_of(",)"));
  }
  const size_t end = name.rfind("::");
  return end == std::string_view::npos ? std::string() : std::string(name.substr(0, end));
}

}  // namespace ray::internal
