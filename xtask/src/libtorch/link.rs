//! `target/libtorch`: the link through which cargo finds the folder in the cache.

use std::fs;
use std::path::Path;

use crate::failure::{Failure, OnPath as _, Result};

/// Makes `link` point to `folder`, replacing another link but never a real folder or file.
///
/// The link is made beside and renamed over, so that another run never sees it missing.
pub(crate) fn point(link: &Path, folder: &Path) -> Result<()> {
    match fs::symlink_metadata(link) {
        Ok(found) if !found.is_symlink() => {
            return Err(Failure::new(format!(
                "{} exists and is not a link, nor a complete libtorch; move it away and run this again",
                link.display()
            )));
        }
        Ok(_) if fs::read_link(link).is_ok_and(|to| to == folder) => return Ok(()),
        Ok(_) | Err(_) => {}
    }
    if let Some(parent) = link.parent() {
        fs::create_dir_all(parent).on_path("create", parent)?;
    }
    let beside = link.with_extension(format!("new-{}", std::process::id()));
    let _ = fs::remove_file(&beside);
    std::os::unix::fs::symlink(folder, &beside).on_path("link", &beside)?;
    fs::rename(&beside, link).on_path("replace", link)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_missing_dangling_or_other_link_comes_to_point_to_the_folder() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("cache");
        let other = temp.path().join("other");
        fs::create_dir(&folder).unwrap();
        fs::create_dir(&other).unwrap();
        let link = temp.path().join("target/libtorch");
        point(&link, &folder).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), folder);
        point(&link, &folder).unwrap();
        for wrong in [temp.path().join("gone"), other.clone()] {
            fs::remove_file(&link).unwrap();
            symlink(&wrong, &link).unwrap();
            point(&link, &folder).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), folder);
        }
        assert!(other.is_dir(), "what the link pointed to stays");
        assert_eq!(fs::read_dir(temp.path().join("target")).unwrap().count(), 1, "nothing is left beside");
    }

    #[test]
    fn a_real_folder_in_the_place_of_the_link_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let link = temp.path().join("libtorch");
        fs::create_dir(&link).unwrap();
        let message = point(&link, temp.path()).unwrap_err().to_string();
        assert!(message.contains("is not a link"), "{message}");
        assert!(link.is_dir());
    }
}
