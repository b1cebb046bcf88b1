#include "store/flag_forms.h"

#include <string_view>

namespace raylet::store {
namespace {

constexpr std::string_view kWithValue = "desm";

bool SaysNo(std::string_view value) {
  return value == "false" || value == "f" || value == "0" || value == "no" || value == "n";
}

}  // namespace

std::vector<std::string> InOurForms(const std::vector<std::string>& arguments) {
  std::vector<std::string> ours;
  for (const std::string& argument : arguments) {
    const size_t dashes = argument.starts_with("--") ? 2 : argument.starts_with("-") ? 1 : 0;
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(dashes, equals == std::string::npos ? equals : equals - dashes);
    const std::string value = equals == std::string::npos ? "" : argument.substr(equals + 1);
    if (dashes > 0 && name == "noh") continue;
    if (dashes > 0 && name == "h") {
      if (!SaysNo(value)) ours.push_back("-h");
    } else if (dashes > 0 && name.size() == 1 && kWithValue.find(name[0]) != std::string_view::npos) {
      ours.push_back("-" + name);
      if (equals != std::string::npos) ours.push_back(value);
    } else {
      ours.push_back(argument);
    }
  }
  return ours;
}

}  // namespace raylet::store
