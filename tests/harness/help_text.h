// DefaultsIn: the flags of a --help text, and the default that it shows for each. A test compares them with a list of
// its own, so that a new flag says its default, or that it has none. Pure.
#pragma once

#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace raylet::test {

// By the flags' long names; an empty text: the help shows no default.
inline std::map<std::string, std::string> DefaultsIn(const std::string& help) {
  constexpr size_t kFormWidth = 30;  // the description stands right of it, or below where the form is wider
  static const std::regex kFlag("^  (?:-[a-z],)?(--[a-z-]+)(.*)$");
  static const std::regex kDefault("^[^=]*=(.*?)(?: \\(Env:.*\\))? *$");
  std::vector<std::string> lines;
  std::istringstream in(help);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  std::map<std::string, std::string> defaults;
  for (size_t i = 0; i < lines.size(); ++i) {
    const bool below = i + 1 < lines.size() && lines[i + 1].starts_with(std::string(kFormWidth, ' '));
    const std::string form = below ? lines[i] : lines[i].substr(0, kFormWidth);
    std::smatch flag, shown;
    if (!std::regex_match(form, flag, kFlag)) continue;
    const std::string rest = flag[2];
    defaults[flag[1]] = std::regex_match(rest, shown, kDefault) ? shown[1].str() : "";
  }
  return defaults;
}

}  // namespace raylet::test
