// InOurForms: a command line in the forms that Plasma's store takes (-m=N, --m N, -h=false, --noh), as ours takes it.
// Pure.
#pragma once

#include <string>
#include <vector>

namespace raylet::store {

// What is none of Plasma's flags stays as it is.
std::vector<std::string> InOurForms(const std::vector<std::string>& arguments);

}  // namespace raylet::store
