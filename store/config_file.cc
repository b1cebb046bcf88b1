#include "store/config_file.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"

namespace raylet::store {
namespace {

constexpr std::string_view kSpace = " \t\r";

std::string_view Trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

bool IsWord(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

bool IsNothing(std::string_view rest) {
  rest = Trimmed(rest);
  return rest.empty() || rest.front() == '#';
}

// A quoted string: with "" a backslash takes the next quote or backslash as it is, with '' nothing does.
std::optional<std::string> Quoted(std::string_view text) {
  const char quote = text.front();
  std::string value;
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == quote) return IsNothing(text.substr(i + 1)) ? std::optional(value) : std::nullopt;
    if (text[i] == '\\' && quote == '"') {
      if (i + 1 == text.size() || (text[i + 1] != '"' && text[i + 1] != '\\')) return std::nullopt;
      ++i;
    }
    value += text[i];
  }
  return std::nullopt;
}

std::optional<std::string> Bare(std::string_view text) {
  text = Trimmed(text.substr(0, text.find('#')));
  const bool number = !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  return number || text == "true" || text == "false" ? std::optional(std::string(text)) : std::nullopt;
}

std::optional<Setting> ParseLine(std::string_view line) {
  const size_t equals = line.find('=');
  if (equals == std::string_view::npos) return std::nullopt;
  const std::string_view key = Trimmed(line.substr(0, equals)), text = Trimmed(line.substr(equals + 1));
  if (!IsWord(key) || text.empty()) return std::nullopt;
  const auto value = text.front() == '"' || text.front() == '\'' ? Quoted(text) : Bare(text);
  if (!value) return std::nullopt;
  return Setting{std::string(key), *value, 0};
}

}  // namespace

Result<std::vector<Setting>> ParseConfig(std::string_view text) {
  if (text.size() > kConfigBytesMax)
    return Fail(ErrorCode::kInvalid, StrCat("it has ", text.size(), " bytes, and ", kConfigBytesMax, " is the limit"));
  std::vector<Setting> settings;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const std::string_view line = Trimmed(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (IsNothing(line)) continue;
    if (line.front() == '[')
      return Fail(ErrorCode::kInvalid,
                  StrCat("line ", number, " begins a table, and there are none here: leave it out"));
    auto setting = ParseLine(line);
    if (!setting)
      return Fail(ErrorCode::kInvalid,
                  StrCat("line ", number, " is no setting: write a key, =, and a \"string\", a whole ",
                         "number, true or false, such as memory = \"1G\""));
    setting->line = number;
    for (const Setting& other : settings)
      if (other.key == setting->key)
        return Fail(ErrorCode::kInvalid, StrCat("line ", number, " says ", setting->key, " again, after line ",
                                                other.line, ": say it once"));
    settings.push_back(*std::move(setting));
  }
  return settings;
}

}  // namespace raylet::store
